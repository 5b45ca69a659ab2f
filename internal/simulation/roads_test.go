package simulation

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// metres between two fixes, and the direction from the first.
func leg(a, b fix) (metres, heading float64) {
	x := (b.Longitude - a.Longitude) * metresADegree * math.Cos(kitchenLatitude*math.Pi/180)
	y := (b.Latitude - a.Latitude) * metresADegree
	return math.Hypot(x, y), bearing(place{}, place{x, y})
}

func turn(a, b float64) float64 { return math.Abs(math.Mod(a-b+540, 360) - 180) }

func TestARideIsSmooth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		town := newTown(rng)
		way := town.ride(rng)
		if from, _ := leg(fix{Latitude: kitchenLatitude, Longitude: kitchenLongitude}, way[0]); from > 30 {
			t.Fatalf("begins %.0f m from the kitchen", from)
		}
		for n, f := range way {
			if f.Speed < 0 || f.Speed > cruise || f.Heading < 0 || f.Heading >= 360 || f.Accuracy <= 0 || f.Accuracy > 50 {
				t.Fatalf("fix %d is %+v", n, f)
			}
			if n == 0 {
				continue
			}
			metres, heading := leg(way[n-1], f)
			if metres > cruise+0.5 {
				t.Fatalf("fix %d is %.1f m on after one second", n, metres)
			}
			if change := math.Abs(f.Speed - way[n-1].Speed); change > 6 && n < len(way)-1 {
				t.Fatalf("fix %d changes speed by %.1f m/s in a second", n, change)
			}
			// The heading is that of the road there, so the way to the next fix differs as much as a curve bends.
			if metres > 2 && turn(heading, way[n-1].Heading) > 75 {
				t.Fatalf("fix %d heads for %.0f° and goes to %.0f°", n-1, way[n-1].Heading, heading)
			}
		}
		if last := way[len(way)-1]; last.Speed != 0 {
			t.Fatalf("arrives with %.1f m/s", last.Speed)
		}
		if length := len(way); length < 30 || length > 600 {
			t.Fatalf("takes %d s", length)
		}
	})
}

func TestHeadingsAreThoseOfACompass(t *testing.T) {
	t.Parallel()
	for want, to := range map[float64]place{0: {0, 5}, 45: {3, 3}, 90: {7, 0}, 180: {0, -1}, 270: {-2, 0}} {
		if got := bearing(place{}, to); math.Abs(got-want) > 1e-9 {
			t.Errorf("the way to %v is %.1f°, want %.1f°", to, got, want)
		}
	}
}

func TestARideIsPressedIntoSomePoints(t *testing.T) {
	t.Parallel()
	way := make([]fix, 100)
	for n := range way {
		way[n].Speed = float64(n)
	}
	for n := fewestPoints; n <= mostPoints; n++ {
		got := some(way, n)
		if len(got) != n || got[0].Speed != 0 || got[n-1].Speed != 99 {
			t.Errorf("%d points are %v", n, got)
		}
	}
	if got := some(way[:2], 5); len(got) != 2 {
		t.Errorf("a short ride has %d points", len(got))
	}
}

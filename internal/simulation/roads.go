package simulation

import (
	"math"
	"math/rand/v2"
)

// place is a point on the town's plan, in metres east and north of the kitchen.
type place struct{ x, y float64 }

func (p place) to(q place) float64 { return math.Hypot(q.x-p.x, q.y-p.y) }

func (p place) between(q place, part float64) place {
	return place{p.x + (q.x-p.x)*part, p.y + (q.y-p.y)*part}
}

// A town's streets and the scooters on them.
const (
	townBlocks  = 10    // on each side of the kitchen
	blockLength = 110.0 // metres
	cornerCut   = 14.0  // metres before a corner where the curve begins
	cruise      = 11.0  // metres a second
	cornering   = 4.0   // metres a second, in a curve
	startSpeed  = 2.0   // metres a second, at both ends
	braking     = 2.5   // metres a second, each second
)

// Where the kitchen is.
const (
	kitchenLatitude  = 52.0907
	kitchenLongitude = 5.1214
	metresADegree    = 111_320.0 // of latitude
)

// town is a plan of crossings, no two blocks alike. It does not change, and is safe for concurrent use.
type town struct {
	crossings [2*townBlocks + 1][2*townBlocks + 1]place
}

func newTown(rng *rand.Rand) *town {
	t := &town{}
	lean := 0.3 + rng.Float64()*0.3 // streets do not run north
	for i := range t.crossings {
		for k := range t.crossings[i] {
			x := float64(i-townBlocks)*blockLength + rng.Float64()*40 - 20
			y := float64(k-townBlocks)*blockLength + rng.Float64()*40 - 20
			t.crossings[i][k] = place{x*math.Cos(lean) - y*math.Sin(lean), x*math.Sin(lean) + y*math.Cos(lean)}
		}
	}
	return t
}

// fix is what a scooter's phone reports. Speed is metres a second, heading degrees from north, clockwise.
type fix struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Speed     float64 `json:"speed"`
	Heading   float64 `json:"heading"`
	Accuracy  float64 `json:"accuracy"`
}

// ride is a way from the kitchen to a door, second by second.
func (t *town) ride(rng *rand.Rand) []fix {
	return drive(smooth(t.streets(rng)), rng)
}

// streets are the crossings on the way to a door some blocks away.
func (t *town) streets(rng *rand.Rand) []place {
	i, k := townBlocks, townBlocks
	blocks := func() int { return 2 + rng.IntN(townBlocks-2) }
	east, north := blocks(), blocks()
	stepX, stepY := 1-2*rng.IntN(2), 1-2*rng.IntN(2)
	way := []place{t.crossings[i][k]}
	for east > 0 || north > 0 {
		if rng.IntN(east+north) < east {
			east--
			i += stepX
		} else {
			north--
			k += stepY
		}
		way = append(way, t.crossings[i][k])
	}
	return way
}

// smooth rounds the corners of a way, and marks how fast each point may be passed.
func smooth(way []place) []bend {
	line := []bend{{way[0], startSpeed}}
	for n := 1; n < len(way)-1; n++ {
		a, corner, b := way[n-1], way[n], way[n+1]
		in := corner.between(a, cornerCut/corner.to(a))
		out := corner.between(b, cornerCut/corner.to(b))
		speed := cruise - (cruise-cornering)*sharpness(a, corner, b)
		const pieces = 6
		for p := range pieces + 1 {
			part := float64(p) / pieces
			line = append(line, bend{in.between(corner, part).between(corner.between(out, part), part), speed})
		}
	}
	return append(line, bend{way[len(way)-1], startSpeed})
}

// bend is a point of a smooth way.
type bend struct {
	place
	speed float64 // the most there
}

// sharpness of a corner is 0 for none and 1 for a right angle or more.
func sharpness(a, corner, b place) float64 {
	turn := math.Abs(bearing(a, corner) - bearing(corner, b))
	if turn > 180 {
		turn = 360 - turn
	}
	return min(turn/90, 1)
}

// bearing is the direction from one place to another, in degrees from north, clockwise, from 0 to below 360.
func bearing(a, b place) float64 {
	degrees := math.Atan2(b.x-a.x, b.y-a.y) * 180 / math.Pi
	if degrees < 0 {
		degrees += 360
	}
	return math.Mod(degrees, 360)
}

// drive moves along a line, a second at a time, as fast as the bends ahead allow.
func drive(line []bend, rng *rand.Rand) []fix {
	ahead := make([]float64, len(line)) // metres from the start
	for n := 1; n < len(line); n++ {
		ahead[n] = ahead[n-1] + line[n-1].to(line[n].place)
	}
	end := ahead[len(ahead)-1]
	var fixes []fix
	at, speed, next := 0.0, startSpeed, 1
	for at < end {
		here, heading := along(line, ahead, next, at)
		fixes = append(fixes, fixAt(here, speed, heading, rng))
		speed = min(speed+braking, allowed(line, ahead, next, at))
		at += speed
		for next < len(line)-1 && ahead[next] <= at {
			next++
		}
	}
	last, heading := along(line, ahead, len(line)-1, end)
	return append(fixes, fixAt(last, 0, heading, rng))
}

// along is the place so many metres from the start, and the direction there.
func along(line []bend, ahead []float64, next int, at float64) (place, float64) {
	a, b := line[next-1], line[next]
	length := ahead[next] - ahead[next-1]
	if length == 0 {
		return b.place, bearing(a.place, b.place)
	}
	return a.between(b.place, min((at-ahead[next-1])/length, 1)), bearing(a.place, b.place)
}

// allowed is the highest speed from which every bend ahead can still be braked for.
func allowed(line []bend, ahead []float64, next int, at float64) float64 {
	most := cruise
	for n := next; n < len(line) && ahead[n]-at < cruise*cruise/braking; n++ {
		most = min(most, math.Sqrt(line[n].speed*line[n].speed+2*braking*max(0, ahead[n]-at)))
	}
	return max(most, 1)
}

func fixAt(p place, speed, heading float64, rng *rand.Rand) fix {
	round := func(v, parts float64) float64 { return math.Round(v*parts) / parts }
	return fix{
		Latitude:  round(kitchenLatitude+p.y/metresADegree, 1e6),
		Longitude: round(kitchenLongitude+p.x/(metresADegree*math.Cos(kitchenLatitude*math.Pi/180)), 1e6),
		Speed:     round(speed, 10),
		Heading:   math.Mod(round(heading, 1), 360),
		Accuracy:  float64(4 + rng.IntN(8)),
	}
}

// some picks n fixes of a ride, evenly, the first and the last among them: a ride in so many seconds.
func some(ride []fix, n int) []fix {
	if n >= len(ride) {
		return ride
	}
	picked := make([]fix, n)
	for i := range picked {
		picked[i] = ride[i*(len(ride)-1)/(n-1)]
	}
	return picked
}

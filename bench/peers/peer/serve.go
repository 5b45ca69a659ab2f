package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
)

// settling is how often a server collects its garbage before it is looked at: what was in a pool is given up by the second
// collection, and each halves the stack of a goroutine that needs less than a quarter of it, as they would with time.
const settling = 6

// Publishes has POST /publish carry out a plan, POST /settle give back the memory that is not used, and GET /allocated say
// how often memory was allocated so far, and how many bytes.
func Publishes(mux *http.ServeMux, publish func(ctx context.Context, p Plan) error) {
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		p, err := Parse(r.URL.Query())
		if err == nil {
			err = publish(r.Context(), p)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /settle", func(http.ResponseWriter, *http.Request) {
		for range settling {
			debug.FreeOSMemory()
		}
	})
	mux.HandleFunc("GET /allocated", func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintln(w, m.Mallocs, m.TotalAlloc)
	})
}

// Serve says on out where it listens, on loopback, and serves until ctx ends, and calls shutdown then.
func Serve(ctx context.Context, out io.Writer, handler http.Handler, shutdown func(context.Context) error) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler} //nolint:gosec // its clients are the benchmark's
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		without := context.WithoutCancel(ctx)
		ended <- errors.Join(shutdown(without), server.Shutdown(without))
	}()
	fmt.Fprintf(out, "ready on http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

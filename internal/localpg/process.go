package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/child"
)

const (
	pollEvery      = 20 * time.Millisecond
	quitAtMost     = 10 * time.Second // an immediate shutdown writes nothing
	connectTimeout = 5 * time.Second
	portAttempts   = 3
)

// shutdown ends a server: in order while there is time, then at once, and returns when it is gone.
func shutdown(ctx context.Context, p *child.Process, orderly time.Duration) error {
	steps := []struct {
		signal  syscall.Signal
		atMost  time.Duration
		heedCtx bool
	}{
		{syscall.SIGINT, orderly, true},      // fast shutdown
		{syscall.SIGQUIT, quitAtMost, false}, // immediate shutdown
		{syscall.SIGKILL, quitAtMost, false},
	}
	for _, step := range steps {
		if err := p.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
		wait := ctx
		if !step.heedCtx {
			wait = context.WithoutCancel(ctx)
		}
		wait, cancel := context.WithTimeout(wait, step.atMost)
		select {
		case <-p.Done():
			cancel()
			return nil
		case <-wait.Done():
			cancel()
		}
	}
	return fmt.Errorf("PostgreSQL (process %d) does not end", p.PID())
}

// launch starts the server and waits until it takes connections and has the application's role and database.
func (s *Server) launch(ctx context.Context, site site) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := s.launchOnce(ctx, site)
		if err == nil {
			return nil
		}
		// What an earlier server left ends by itself; a port taken from under us is chosen anew.
		left := strings.Contains(err.Error(), "pre-existing shared memory block")
		taken := s.endpoint.folder == "" && attempt < portAttempts
		if !left && !taken {
			return err
		}
		if sleep(ctx, pollEvery*10) != nil {
			return err
		}
	}
}

func (s *Server) launchOnce(ctx context.Context, site site) (err error) {
	if s.endpoint, err = chooseEndpoint(ctx, s.home, site.account, s.sockets(ctx, site.account)); err != nil {
		return err
	}
	log, err := freshLog(s.home)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer log.Close()
	// ctx is for the start alone; the server outlives it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), s.programs.path("postgres"), s.arguments()...) //nolint:gosec // a program that was looked for
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.home, environment(), attributes(site.account)
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = child.Start(cmd, syscall.SIGINT); err != nil { // which is a fast shutdown
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	defer func() {
		if err != nil {
			_ = shutdown(ctx, s.process, quitAtMost)
		}
	}()
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return s.furnish(ctx, conn)
}

// connect tries until the server answers, ends, or ctx does.
func (s *Server) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(s.SuperuserURL("postgres"))
	if err != nil {
		return nil, fmt.Errorf("make an address of the server: %w", err)
	}
	cfg.ConnectTimeout = connectTimeout
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err == nil {
			return conn, nil
		}
		select {
		case <-tick.C:
		case <-s.process.Done():
			return nil, fmt.Errorf("PostgreSQL did not start (%s): %s", s.process.State(), tail(s.home))
		case <-ctx.Done():
			return nil, fmt.Errorf("PostgreSQL takes no connections (%w): %w: %s", ctx.Err(), err, tail(s.home))
		}
	}
}

// furnish makes the application's role and database where they are missing. Passwords are set each time, so that a lost
// secret heals itself while the server is on a socket.
func (s *Server) furnish(ctx context.Context, conn *pgx.Conn) error {
	var role, database bool
	const look = `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), EXISTS (SELECT FROM pg_database WHERE datname = $2)`
	if err := conn.QueryRow(ctx, look, Role, Database).Scan(&role, &database); err != nil {
		return fmt.Errorf("look for the application's role: %w", err)
	}
	verb := "ALTER"
	if !role {
		verb = "CREATE"
	}
	statements := []string{
		verb + ` ROLE ` + Role + ` LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '` + password(s.secret, Role) + `'`,
		`ALTER ROLE ` + Superuser + ` PASSWORD '` + password(s.secret, Superuser) + `'`,
	}
	if !database {
		statements = append(statements, `CREATE DATABASE `+Database+` OWNER `+Role)
	}
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the application's role and database: %w", err)
		}
	}
	return nil
}

// freshLog begins a log for this start and keeps that of the one before, which bounds what is kept.
func freshLog(home string) (*os.File, error) {
	path := filepath.Join(home, logFile)
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_EXCL, 0o600)
}

// environment is what PostgreSQL's programs get to see: not the program's secrets, and messages in English.
func environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

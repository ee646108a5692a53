package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
)

func newUnmount(c *common) *cobra.Command {
	var noWait bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use:     "unmount MOUNTPOINT",
		Aliases: []string{"umount"},
		Short:   "Upload what is pending, then unmount",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return unmount(cmd.Context(), c, args[0], !noWait, patience)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "leave what is pending to the next mount")
	addTimeout(cmd.Flags(), &patience)
	return cmd
}

func unmount(ctx context.Context, c *common, point string, wait bool, patience time.Duration) error {
	if point == "" {
		return usage("the mount point is empty: see `megadisk unmount --help`")
	}
	abs, err := paths.Real(point)
	if err != nil {
		return err
	}
	process, st, err := c.holder(ctx, abs)
	if err != nil {
		return err
	}
	if process == nil {
		return serve.UnmountStale(abs)
	}
	if around := mountOf(st, abs); around != abs {
		return &serve.MountpointError{Path: abs, Problem: fmt.Sprintf("it lies in what is mounted at %[1]s: `megadisk unmount %[1]s` unmounts that", around)}
	}
	ending := false
	request := func(ctx context.Context) (err error) {
		ending, err = process.Unmount(ctx, control.UnmountRequest{Mountpoint: abs, Wait: wait})
		return err
	}
	if wait {
		err = withProgress(ctx, patience, process, request)
	} else {
		err = request(ctx)
	}
	var refusal *control.Error
	if errors.As(err, &refusal) {
		ending = refusal.Ending
	}
	if !ending {
		return err
	}
	printHereOnly(os.Stdout, st.HereOnly)
	return errors.Join(err, control.AwaitEnd(ctx, st.PID)) // so that the next command finds the stores closed
}

// holder finds the process that shows path, or none.
func (c *common) holder(ctx context.Context, path string) (*control.Client, control.Status, error) {
	for _, socket := range c.dirs().Sockets() {
		process, ok := control.Dial(socket)
		if !ok {
			continue
		}
		st, err := process.Status(ctx)
		if err != nil && !control.Alive(socket) {
			continue // it died meanwhile
		}
		if err != nil {
			return nil, st, fmt.Errorf("asking for the status: %w", err)
		}
		if mountOf(st, path) != "" {
			return process, st, nil
		}
	}
	return nil, control.Status{}, nil
}

// mountOf is the mount point of st that path is or lies below; the deepest if there are several.
func mountOf(st control.Status, path string) string {
	best := ""
	for _, m := range st.Mounts {
		if within(path, m.Mountpoint) && len(m.Mountpoint) > len(best) {
			best = m.Mountpoint
		}
	}
	return best
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !startsUp(rel)
}

func startsUp(rel string) bool { return len(rel) > 2 && rel[:3] == "../" }

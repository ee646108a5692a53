package writeback

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// What a loss of power must not take is synced first: where that fails nobody is told that it is safe, and nothing takes the
// place of what was there before.
func TestWhatIsSafeFromALossOfPowerIsSynced(t *testing.T) {
	for name, promise := range map[string]func(*rig, *File) error{
		"fsync":             func(r *rig, f *File) error { return f.Fsync(r.ctx) },
		"fsync of a folder": func(r *rig, _ *File) error { return r.engine.SyncDir(r.ctx, tree.DriveIno) },
		"cut short": func(r *rig, f *File) error {
			size := int64(1)
			_, err := r.engine.SetAttr(r.ctx, f.Ino(), Attr{Size: &size})
			return err
		},
		"renamed over another": func(r *rig, _ *File) error {
			return r.engine.Rename(r.ctx, tree.DriveIno, "file", tree.DriveIno, "other", false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, settleNever)
			r.write("other", "before")
			f := r.create("file")
			defer f.Release()
			_, err := f.WriteAt(r.ctx, []byte("content"), 0)
			require.NoError(t, err)
			dir := filepath.Join(r.dir, stagingDir)
			require.NoError(t, os.Rename(dir, dir+" away")) // the folder, with its new segment, can't be synced
			require.ErrorIs(t, promise(r, f), os.ErrNotExist)
			require.Equal(t, "before", r.read("other"))
			require.NoError(t, os.Rename(dir+" away", dir))
			require.NoError(t, promise(r, f))
		})
	}
}

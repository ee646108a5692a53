package writeback

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

func exportedFile(t *testing.T, dir, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(raw)
}

func TestExportOfWhatIsPending(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("dir")
	r.write("dir/edited", strings.Repeat("old ", 100<<10))
	r.write("moved", "sent")
	r.write("gone", "sent")
	r.flush()
	r.mkdir("new")
	r.write("new/file", "made")
	f := r.edit("dir/edited")
	_, err := f.WriteAt(r.ctx, []byte("NEW"), 200<<10)
	require.NoError(t, err)
	defer f.Release()
	r.rename("moved", "new/moved")
	r.unlink("gone")

	dir := filepath.Join(t.TempDir(), "saved")
	told := 0
	x, err := r.engine.ExportPending(r.ctx, dir, func(Export) { told++ })
	require.NoError(t, err)
	require.Equal(t, Export{Files: 2, Folders: 1, Bytes: 4 + 400<<10, Others: 2}, x)
	require.NotZero(t, told)
	require.Equal(t, "made", exportedFile(t, dir, "new/file"))
	edited := strings.Repeat("old ", 100<<10)
	edited = edited[:200<<10] + "NEW" + edited[200<<10+3:]
	require.Equal(t, edited, exportedFile(t, dir, "dir/edited"), "written and not closed, over a version that is in the cloud")

	_, err = r.engine.ExportPending(r.ctx, dir, nil)
	require.ErrorIs(t, err, ErrNotEmpty, "nothing is ever overwritten")
	r.flush()
	x, err = r.engine.ExportPending(r.ctx, filepath.Join(t.TempDir(), "again"), nil)
	require.NoError(t, err)
	require.Equal(t, Export{}, x, "all is in the cloud")
}

// A version in the cloud that is wrong is missing in the one file that is made of it, and in no other.
func TestExportGoesOnPastWrongContent(t *testing.T) {
	r := newRig(t, settleNever)
	old := strings.Repeat("old ", 100<<10)
	r.account.Put(megatest.PutSpec{Parent: r.account.Root(), Name: "wrong", Content: []byte(old), WrongMAC: true})
	r.account.PutFile(r.account.Root(), "right", []byte(old), time.Time{})
	r.caughtUp()
	for _, p := range []string{"wrong", "right"} {
		f := r.edit(p)
		_, err := f.WriteAt(r.ctx, []byte("NEW"), 0)
		require.NoError(t, err)
		f.Release()
	}
	require.Less(t, r.ino("wrong"), r.ino("right"))

	dir := filepath.Join(t.TempDir(), "saved")
	x, err := r.engine.ExportPending(r.ctx, dir, nil)
	require.NoError(t, err)
	require.Len(t, x.Incomplete, 1)
	require.Equal(t, "wrong", x.Incomplete[0].Path)
	require.Equal(t, "NEW"+old[3:], exportedFile(t, dir, "right"))
}

// A desktop's trash, and what others share, are exported like the rest.
func TestExportOfWhatIsNotInTheDrive(t *testing.T) {
	r := trashRig(t, settleNever)
	r.trash("docs/a.txt")
	owner, folder := r.lender(lenderMail)
	owner.Befriend(r.account)
	owner.Share(folder, r.account, megaclient.AccessWrite)
	r.sharesAre(1)
	r.caughtUp()
	shares, err := r.engine.Tree().ReadDir(tree.SharesIno, "", 0)
	require.NoError(t, err)
	r.write("//shares/"+shares[0].Name+"/theirs", "for them")
	r.write("docs/mine", "mine")

	dir := t.TempDir()
	x, err := r.engine.ExportPending(r.ctx, dir, nil)
	require.NoError(t, err)
	require.Empty(t, x.Incomplete)
	require.Equal(t, "mine", exportedFile(t, dir, "docs/mine"))
	require.Equal(t, "for them", exportedFile(t, dir, ".mega/shares/"+shares[0].Name+"/theirs"))
	notes, err := filepath.Glob(filepath.Join(dir, ".mega", "trash", "*", "info", "a.txt.trashinfo"))
	require.NoError(t, err)
	require.Len(t, notes, 1)
}

// What is pending is exported also when where it lies can't be read.
func TestExportOfWhatHasNoPath(t *testing.T) {
	for _, row := range []struct {
		name, path string
		err        error
		want       string
	}{
		{"a", "/dir/a", nil, "dir/a"},
		{"a", "//shares/theirs/a", nil, ".mega/shares/theirs/a"},
		{"a", "", tree.ErrCorrupt, "without a path (7)/a"},
		{"a", "", tree.ErrNotFound, "without a path (7)/a"},
		{"", "", tree.ErrNotFound, "without a path (7)/file"},
	} {
		got := exportPath(tree.Inode{Ino: 7, Name: row.name}, func(tree.Ino) (string, error) { return row.path, row.err })
		require.Equal(t, row.want, got)
	}
}

// What can't be read itself is told, and keeps nothing else from being exported.
func TestExportTellsWhatCantBeRead(t *testing.T) {
	x := &exporter{}
	require.NoError(t, x.unreadable(t.Context(), "inode 7", tree.ErrStale))
	require.Empty(t, x.result.Incomplete, "it is gone")
	require.NoError(t, x.unreadable(t.Context(), "inode 7", tree.ErrCorrupt))
	require.Len(t, x.result.Incomplete, 1)
	require.Equal(t, "inode 7", x.result.Incomplete[0].Path)
	require.ErrorIs(t, x.unreadable(t.Context(), "", ErrClosed), ErrClosed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, x.unreadable(ctx, "", tree.ErrCorrupt))
}

// Without a network what is here is exported, and what isn't is told.
func TestExportWithoutNetwork(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("edited", strings.Repeat("o", 300<<10))
	r.flush()
	r.stop()
	r.start() // with an empty cache
	f := r.edit("edited")
	_, err := f.WriteAt(r.ctx, []byte("NEW"), 200<<10)
	require.NoError(t, err)
	f.Release()
	r.write("new", "made")
	r.server.Close()
	r.eventually(func() bool { return !r.engine.Status().Offline.IsZero() })

	dir := t.TempDir()
	x, err := r.engine.ExportPending(r.ctx, dir, nil)
	require.NoError(t, err)
	require.Equal(t, "made", exportedFile(t, dir, "new"))
	require.Len(t, x.Incomplete, 1)
	require.Equal(t, "edited", x.Incomplete[0].Path)
	got := exportedFile(t, dir, "edited")
	require.Len(t, got, 300<<10)
	require.Equal(t, "NEW", got[200<<10:200<<10+3])
}

// edit opens a file that is there for writing.
func (m *mount) edit(p string) *File {
	m.t.Helper()
	f, err := m.engine.Open(m.ctx, m.ino(p), true, false)
	require.NoError(m.t, err)
	return f
}

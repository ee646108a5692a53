package credentials

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), Name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

func TestSourcesInTheirOrder(t *testing.T) {
	ctx := context.Background()
	file := write(t, 0o600, "# of the drive\nusername = a@b.c\n\npassword=one two=three\nmfa=123456\n")
	plain := write(t, 0o400, "from the file\r\nmore\n")
	all := Sources{File: file, Command: "echo from the command", Password: plain}

	system := write(t, 0o440, "password=from systemd\n")
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(system))
	_, _, err := all.Find(ctx)
	require.ErrorContains(t, err, "chmod 600")
	require.NoError(t, os.Chmod(system, 0o400))
	find := func(s Sources) Given {
		t.Helper()
		got, ok, err := s.Find(ctx)
		require.NoError(t, err)
		require.True(t, ok)
		return got
	}
	require.Equal(t, Given{Password: "from systemd"}, find(all))
	t.Setenv("CREDENTIALS_DIRECTORY", t.TempDir()) // of another service
	require.Equal(t, Given{Email: "a@b.c", Password: "one two=three", MFA: "123456"}, find(all))
	all.File = ""
	require.Equal(t, Given{Password: "from the command"}, find(all))
	all.Command = ""
	require.Equal(t, Given{Password: "from the file"}, find(all))
	_, ok, err := Sources{}.Find(ctx)
	require.NoError(t, err)
	require.False(t, ok)
}

func TestBadCredentials(t *testing.T) {
	for _, c := range []struct {
		says string
		from Sources
	}{
		{"chmod 600", Sources{File: write(t, 0o644, "password=x")}},
		{"chmod 600", Sources{Password: write(t, 0o640, "x")}},
		{":2: it has lines", Sources{File: write(t, 0o600, "password=x\nhunter2\n")}},
		{"no line password=", Sources{File: write(t, 0o600, "email=x\n")}},
		{"first line", Sources{Password: write(t, 0o600, "\nx")}},
		{"command failed", Sources{Command: "exit 3"}},
		{"printed nothing", Sources{Command: "true"}},
		{"no such file", Sources{File: "/nonexistent"}},
	} {
		_, ok, err := c.from.Find(context.Background())
		require.ErrorContains(t, err, c.says)
		require.False(t, ok)
		require.NotContains(t, err.Error(), "hunter2", "it may be a password")
	}
}

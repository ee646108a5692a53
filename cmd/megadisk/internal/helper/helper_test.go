package helper

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseMount(t *testing.T) {
	want := Call{Dir: "/mnt/my drive", Options: []string{"rw,noauto", "uid=5"}}
	for _, line := range []string{
		`megadisk /mnt/my\040drive -o rw,noauto -o uid=5`,
		`-o rw,noauto megadisk -ouid=5 /mnt/my\040drive`,
		`megadisk -n -v /mnt/my\040drive -t fuse.megadisk -o rw,noauto -vno uid=5`,
		`-o rw,noauto -o uid=5 -- megadisk /mnt/my\040drive`,
		`none /mnt/my\040drive -o rw,noauto -o uid=5`,
	} {
		got, err := ParseMount(strings.Fields(line))
		require.NoError(t, err, line)
		require.Equal(t, want, got, line)
	}
	got, err := ParseMount(strings.Fields("anna@example.com:/Photos /mnt -sf -N 42 -r"))
	require.NoError(t, err)
	require.Equal(t, Call{Spec: "anna@example.com:/Photos", Dir: "/mnt", Sloppy: true, Fake: true, Namespace: "42", Options: []string{"ro"}}, got)
	for _, bad := range []string{"", "megadisk", "a b c", "megadisk /mnt -q", "megadisk /mnt -o"} {
		_, err := ParseMount(strings.Fields(bad))
		require.Error(t, err, bad)
	}
}

func TestParseUnmount(t *testing.T) {
	got, err := ParseUnmount(strings.Fields("-v /mnt -l -t fuse.megadisk"))
	require.NoError(t, err)
	require.Equal(t, Call{Dir: "/mnt", Lazy: true}, got)
	_, err = ParseUnmount(nil)
	require.Error(t, err)
}

func TestWhoCalls(t *testing.T) {
	commands := []string{"mount", "status"}
	for line, want := range map[string]bool{
		"/sbin/mount.megadisk megadisk /mnt": true,
		"mount.fuse.megadisk x":              true,
		"megadisk megadisk /mnt -o rw":       true, // mount.fuse3
		"megadisk a@b.c:/d /mnt -o ro":       true,
		"megadisk mount /mnt":                false,
		"megadisk mount /Photos":             false,
		"megadisk munt /mnt":                 false,
		"megadisk mount /mnt -o ro":          false,
		"megadisk --help":                    false,
		"megadisk":                           false,
		"megadisk status":                    false,
	} {
		require.Equal(t, want, IsMount(strings.Fields(line), commands), line)
	}
	require.True(t, IsUnmount([]string{"/sbin/umount.fuse.megadisk"}))
	require.False(t, IsUnmount([]string{"megadisk"}))
}

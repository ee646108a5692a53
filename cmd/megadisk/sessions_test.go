package main

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestIDsThatLookLikeFlags(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("cache-dir", "", "")
	for _, tc := range []struct{ typed, taken []string }{
		{[]string{"sessions", "close", "-2dVRkrYXdk"}, []string{"sessions", "close", "--", "-2dVRkrYXdk"}},
		{[]string{"sessions", "--account", "a@b.c", "close", "-2dVRkrYXdk", "G1VJ47R4pk-", "--json", "--VJ47R4pk_"},
			[]string{"sessions", "--account", "a@b.c", "close", "G1VJ47R4pk-", "--json", "--", "-2dVRkrYXdk", "--VJ47R4pk_"}},
		{[]string{"sessions", "close", "--cache-dir", "/x"}, []string{"sessions", "close", "--cache-dir", "/x"}},
		{[]string{"sessions", "close", "--others"}, []string{"sessions", "close", "--others"}},
		{[]string{"sessions", "close", "--", "-2dVRkrYXdk"}, []string{"sessions", "close", "--", "-2dVRkrYXdk"}},
		{[]string{"get", "close", "-2dVRkrYXdk"}, []string{"get", "close", "-2dVRkrYXdk"}},
		{nil, nil},
	} {
		require.Equal(t, tc.taken, idsLast(tc.typed, flags))
	}
	t.Setenv("MEGADISK_STATE_DIR", t.TempDir())
	root, _, err := commandFor([]string{"megadisk", "sessions", "close", "-2dVRkrYXdk", "--account=nobody@example.org"})
	require.NoError(t, err)
	root.SilenceErrors, root.SilenceUsage = true, true
	require.NotContains(t, root.Execute().Error(), "flag")
	command, _, err := root.Find([]string{"sessions", "close"})
	require.NoError(t, err)
	command.Flags().VisitAll(func(f *pflag.Flag) {
		require.False(t, dashedID.MatchString("--"+f.Name) && root.PersistentFlags().Lookup(f.Name) == nil, "--%s looks like an ID", f.Name)
	})
}

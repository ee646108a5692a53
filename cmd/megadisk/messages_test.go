package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/cmd/megadisk/internal/control"
)

func TestEachThingIsSaidOnce(t *testing.T) {
	var m messages
	ended := control.Status{Problem: "the session has ended"}
	full := control.Status{Quota: control.Quota{Total: 10, Used: 11}}
	for _, step := range []struct {
		st   control.Status
		says string
	}{
		{control.Status{}, ""}, {ended, "the session has ended"}, {ended, ""}, {control.Status{}, ""}, {ended, "the session has ended"},
		{full, "the account is full: changes wait on this machine until there is room in the cloud"}, {full, ""}, {control.Status{}, ""},
	} {
		require.Equal(t, step.says, m.news(step.st))
	}
}

func TestConflictsAreSaid(t *testing.T) {
	one := control.Happening{Path: "/docs/a (conflict).txt", More: "a.txt"}
	require.Empty(t, conflicts(nil))
	require.Equal(t, "a.txt was changed here and elsewhere: what is from here is now a (conflict).txt", conflicts([]control.Happening{one}))
	require.Contains(t, conflicts([]control.Happening{one, one}), "2 files")
}

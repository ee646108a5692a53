package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCommandsForPrograms: what a script might read can be had as JSON.
func TestCommandsForPrograms(t *testing.T) {
	root := newRoot()
	for _, line := range []string{
		"link", "get", "put", "pin", "unpin", "free", "versions", "restore", "bin list", "bin restore", "bin empty",
		"debris list", "debris restore", "debris clear", "find", "du", "cache show", "cache clear", "sessions list",
		"sessions close", "import", "status", "log", "doctor", "config show", "whoami", "verify", "export-pending",
	} {
		cmd, rest, err := root.Find(strings.Fields(line))
		require.NoError(t, err, line)
		require.Empty(t, rest, line)
		require.NotNil(t, cmd.Flags().Lookup("json"), line)
	}
}

// TestExitStatuses: the README's table is the one of the program.
func TestExitStatuses(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for i, e := range exitMeanings {
		require.Equal(t, i, e.status)
		require.Contains(t, string(readme), fmt.Sprintf("| %d | %s |\n", e.status, e.meaning))
	}
}

func TestLinksEndLater(t *testing.T) {
	for _, after := range []string{"0", "0d", "-1h", "soon"} {
		root := newRoot()
		root.SetArgs([]string{"link", "f", "--expire", after})
		err := root.Execute()
		require.ErrorContains(t, err, "--expire is a time from now", after)
		require.Equal(t, exitUsage, exitStatus(err), after)
	}
}

// TestNearestNames: a mistyped command or option is answered with the one that was meant.
func TestNearestNames(t *testing.T) {
	for line, meant := range map[string]string{
		"staus":                 "did you mean status?",
		"mount --umsk=1 /mnt":   "did you mean umask?",
		"find . --lager 3":      "did you mean larger?",
		"status --log-levl x":   "did you mean log-level?",
		"bin lst":               `there is no command "bin lst" (did you mean list?)`,
		"cache frobnicate":      "see `megadisk cache --help`",
		"frobnicate":            "there is no command",
		"help bin lst":          `there is no command "bin lst" (did you mean list?)`,
		"find . --frobnicate=1": "unknown flag",
	} {
		root := newRoot()
		root.SetArgs(strings.Fields(line))
		err := root.Execute()
		require.ErrorContains(t, err, meant, line)
		require.Equal(t, exitUsage, exitStatus(err), line)
	}
}

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

package integration

import (
	"os"
	"testing"

	"megadisk/integration/program"
	"megadisk/integration/steady"
)

func TestMain(m *testing.M) {
	steady.Rapid()
	code := m.Run()
	program.CleanUp()
	os.Exit(code)
}

package integration

import (
	"os"
	"testing"

	"megadisk/integration/program"
)

func TestMain(m *testing.M) {
	code := m.Run()
	program.CleanUp()
	os.Exit(code)
}

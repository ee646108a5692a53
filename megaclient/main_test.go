package megaclient_test

import (
	"testing"

	"megadisk/integration/steady"
	"megadisk/megaclient"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	megaclient.QuickTiming()
	steady.Rapid()
	goleak.VerifyTestMain(m)
}

package megaclient_test

import (
	"testing"

	"megadisk/megaclient"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	megaclient.QuickTiming()
	goleak.VerifyTestMain(m)
}

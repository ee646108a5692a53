package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// network is a network of two machines: the server's is this one, the program's is a namespace behind a cable.
type network struct {
	t          *testing.T
	space      string // name of the program's namespace
	near, far  string // the cable's ends: here, and there
	here, away string // addresses
}

var networks atomic.Int32 // made so far

// newNetwork makes one; without the right to, the test is skipped, loudly.
func newNetwork(t *testing.T) *network {
	t.Helper()
	needs.Programs(t, "ip", "nsenter")
	n := (os.Getpid() + int(networks.Add(1))*5000) % 16000
	w := &network{
		t: t, space: fmt.Sprintf("megadisk-%d", n), near: fmt.Sprintf("mda%d", n), far: fmt.Sprintf("mdb%d", n),
		here: fmt.Sprintf("198.18.%d.%d", n/64, n%64*4+1), away: fmt.Sprintf("198.18.%d.%d", n/64, n%64*4+2),
	}
	needs.Root(t)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", w.space).Run() })
	for _, words := range []string{
		"netns add " + w.space,
		"link add " + w.near + " type veth peer name " + w.far + " netns " + w.space,
		"addr add " + w.here + "/30 dev " + w.near,
		"link set " + w.near + " up",
	} {
		if out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED, NOT RUN: this machine can't make a network to cut: ip %s: %s", words, out)
		}
	}
	w.ip("-n " + w.space + " addr add " + w.away + "/30 dev " + w.far)
	w.ip("-n " + w.space + " link set lo up")
	w.up()
	return w
}

func (w *network) ip(words string) {
	w.t.Helper()
	out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput()
	require.NoError(w.t, err, "ip %s: %s", words, out)
}

// up plugs the program's end in. The other side's address is known for good, so that who goes silent isn't missed by
// a question for it.
func (w *network) up() {
	w.t.Helper()
	w.ip("-n " + w.space + " link set " + w.far + " up")
	w.ip("-n " + w.space + " neigh replace " + w.here + " lladdr " + w.mac(w.near) + " dev " + w.far + " nud permanent")
}

func (w *network) mac(link string) string {
	w.t.Helper()
	i, err := net.InterfaceByName(link)
	require.NoError(w.t, err)
	return i.HardwareAddr.String()
}

// program is one on the far side, with a server on this one.
func (w *network) program() (*program.Program, *megatest.Account) {
	w.t.Helper()
	l, err := net.Listen("tcp", w.here+":0")
	require.NoError(w.t, err)
	server := megatest.NewServerOn(l)
	w.t.Cleanup(server.Close)
	account := server.AddAccount(program.Email, program.Password)
	p := program.New(w.t, server)
	p.Through = []string{"nsenter", "--net=/run/netns/" + w.space}
	return p, account
}

// The ways in which a network goes, and comes back.
var cuts = map[string]struct{ cut, mend func(w *network) }{
	"no route": {
		cut:  func(w *network) { w.ip("-n " + w.space + " link set " + w.far + " down") },
		mend: (*network).up,
	},
	// Packets go and nobody answers, not even with a refusal: the server's machine has lost its address.
	"half open": {
		cut:  func(w *network) { w.ip("addr del " + w.here + "/30 dev " + w.near) },
		mend: func(w *network) { w.ip("addr add " + w.here + "/30 dev " + w.near) },
	},
}

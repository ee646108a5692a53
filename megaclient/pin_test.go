package megaclient_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

func TestParsePins(t *testing.T) {
	a, b := megaclient.PinOf([]byte("a")), megaclient.PinOf([]byte("b"))
	pins, err := megaclient.ParsePins("sha256//" + base64.StdEncoding.EncodeToString(a[:]) + ";" + hex.EncodeToString(b[:]))
	require.NoError(t, err)
	require.Equal(t, []megaclient.Pin{a, b}, pins)
	for _, text := range []string{"", "sha256//", "sha256//AAAA", ";", hex.EncodeToString(a[:]) + ";", "zz"} {
		_, err := megaclient.ParsePins(text)
		require.Error(t, err, text)
	}
}

// A server that has a certificate that holds, and another key than those that are pinned, is told nothing.
func TestPinnedKeys(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "[7]")
	}))
	t.Cleanup(s.Close)
	right := megaclient.PinOf(s.Certificate().RawSubjectPublicKeyInfo)
	wrong := megaclient.PinOf([]byte("another"))
	ask := func(pins ...megaclient.Pin) error {
		c, err := megaclient.NewBare(megaclient.Config{APIURL: s.URL, Pins: pins})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		megaclient.Trust(c, s.Certificate())
		var n int
		return c.Ask(t.Context(), map[string]string{"a": "x"}, &n)
	}
	require.NoError(t, ask())
	require.NoError(t, ask(wrong, right))
	before := asked.Load()
	require.ErrorIs(t, ask(wrong), megaclient.ErrWrongPin)
	require.Equal(t, before, asked.Load())

	_, err := megaclient.NewBare(megaclient.Config{APIURL: "http://127.0.0.1", Pins: []megaclient.Pin{right}})
	require.ErrorContains(t, err, "https")
}

// The storage servers have keys of their own; however the command server's name is written, it is that one's that counts.
func TestPinsAreOfTheCommandServer(t *testing.T) {
	pins := []megaclient.Pin{megaclient.PinOf([]byte("another"))}
	for name, want := range map[string]error{"gfs1.userstorage.mega.co.nz": nil, "g.api.mega.co.nz": megaclient.ErrWrongPin} {
		for _, api := range []string{megaclient.DefaultAPIURL, "https://G.api.mega.co.nz.:443"} {
			cfg := megaclient.Config{APIURL: api, Pins: pins}
			require.ErrorIs(t, cfg.CheckPins(tls.ConnectionState{ServerName: name}), want, "%s of %s", name, api)
		}
	}
}

package megaclient_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
)

// tlsServer answers [7] to everybody, and counts.
func tlsServer(t *testing.T, change func(*httptest.Server)) (s *httptest.Server, asked *atomic.Int32) {
	asked = new(atomic.Int32)
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "[7]")
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{}
	change(s)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, asked
}

// expired gives a certificate for 127.0.0.1 that was good until yesterday.
func expired(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(0, 0, -1),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// A server whose certificate doesn't hold, or that speaks nothing newer than TLS 1.1, is told nothing: no command, in whose
// address the session is, and no request for content.
func TestServersThatCannotBeVerified(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*httptest.Server)
		trusted bool
		url     func(string) string
		sound   bool
	}{
		"sound":                {trusted: true, sound: true},
		"an unknown authority": {},
		"another name":         {trusted: true, url: func(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }},
		"expired": {trusted: true, change: func(s *httptest.Server) {
			s.TLS.Certificates = []tls.Certificate{expired(t)}
		}},
		"TLS 1.1": {trusted: true, change: func(s *httptest.Server) {
			s.TLS.MinVersion, s.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, asked := tlsServer(t, func(s *httptest.Server) {
				if test.change != nil {
					test.change(s)
				}
			})
			url := s.URL
			if test.url != nil {
				url = test.url(url)
			}
			c, err := megaclient.NewBare(megaclient.Config{APIURL: url})
			require.NoError(t, err)
			t.Cleanup(c.Close)
			megaclient.SetUnreachable(c, time.Millisecond)
			if test.trusted {
				megaclient.Trust(c, s.Certificate())
			}
			err = c.Ask(t.Context(), map[string]string{"a": "x"}, new(int))
			if test.sound {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, megaclient.ErrUnreachable)
			_, err = c.PostToStorage(t.Context(), url, []byte("handle"))
			require.ErrorIs(t, err, megaclient.ErrUnreachable)
			require.Zero(t, asked.Load())
		})
	}
}

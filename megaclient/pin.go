package megaclient

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Pin is the SHA-256 of a public key, as it stands in a certificate (SubjectPublicKeyInfo).
type Pin [sha256.Size]byte

// ErrWrongPin says that the command server has none of the keys that were pinned.
var ErrWrongPin = errors.New("the server's key is none of those that are pinned: somebody is between this computer and MEGA, or MEGA has new keys")

// ParsePins reads pins as curl's --pinnedpubkey takes them, sha256//BASE64 with ; between them, or each as hex.
func ParsePins(text string) (pins []Pin, err error) {
	for part := range strings.SplitSeq(text, ";") {
		raw, err := hex.DecodeString(part)
		if encoded, ok := strings.CutPrefix(part, "sha256//"); ok {
			raw, err = base64.StdEncoding.DecodeString(encoded)
		}
		if err != nil || len(raw) != sha256.Size {
			return nil, fmt.Errorf("%q is no SHA-256 of a key", part)
		}
		pins = append(pins, Pin(raw))
	}
	return pins, nil
}

// checkPins looks at a connection whose certificate has been found to hold. Those of the storage servers are others, which
// change; what comes from there is checked by its MACs.
func (cfg Config) checkPins(s tls.ConnectionState) error {
	api, err := url.Parse(cfg.APIURL)
	if err != nil {
		return err
	}
	// An address that is a number has no server name; MEGA's servers have.
	storage := s.ServerName != "" && !strings.EqualFold(s.ServerName, strings.TrimSuffix(api.Hostname(), "."))
	if len(cfg.Pins) == 0 || storage {
		return nil
	}
	if len(s.PeerCertificates) > 0 && slices.Contains(cfg.Pins, PinOf(s.PeerCertificates[0].RawSubjectPublicKeyInfo)) {
		return nil
	}
	return ErrWrongPin
}

// PinOf gives the pin of a public key.
func PinOf(publicKey []byte) Pin { return sha256.Sum256(publicKey) }

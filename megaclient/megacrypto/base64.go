package megacrypto

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// EncodeBase64 writes b in the URL alphabet without padding, the form in which MEGA sends every
// binary value (PROTOCOL 0).
func EncodeBase64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// DecodeBase64 reads both alphabets, and tolerates '=' at the end. Anything else that isn't base64
// is an error: the lenient decoders of other clients turn damage into shorter values.
func DecodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "+/") {
		s = strings.NewReplacer("+", "-", "/", "_").Replace(s)
	}
	if strings.ContainsAny(s, "\r\n") { // the standard decoder would skip them
		return nil, fmt.Errorf("decoding base64: line break inside")
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("decoding base64: %w", err)
	}
	return b, nil
}

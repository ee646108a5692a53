package megaclient

import (
	"encoding/json"
	"fmt"

	"megadisk/megaclient/megacrypto"
)

// What holds keys or names never shows them when printed, whatever the verb.

func redact(f fmt.State, what string) { _, _ = fmt.Fprintf(f, "%s(redacted)", what) }

// Format hides session id and master key.
func (s Session) Format(f fmt.State, _ rune) { redact(f, "Session") }

// Format shows the handle only.
func (n Node) Format(f fmt.State, _ rune) { redact(f, "Node "+string(n.Handle)) }

// Format hides key and attributes.
func (n NewNode) Format(f fmt.State, _ rune) { redact(f, "NewNode") }

// Format shows the handle only.
func (n KeyedNode) Format(f fmt.State, _ rune) { redact(f, "KeyedNode "+string(n.Handle)) }

// Format shows the handle only.
func (op SetAttrs) Format(f fmt.State, _ rune) { redact(f, "SetAttrs "+string(op.Node)) }

// storedSession is a Session as it is stored: the key as text.
type storedSession struct {
	SID        string     `json:"sid"`
	MasterKey  string     `json:"masterKey"`
	User       UserHandle `json:"user"`
	Email      string     `json:"email,omitempty"`
	PrivateKey string     `json:"privateKey,omitempty"`
}

// MarshalJSON writes the session, secrets included.
func (s Session) MarshalJSON() ([]byte, error) {
	return json.Marshal(storedSession{s.SID, megacrypto.EncodeBase64(s.MasterKey[:]), s.User, s.Email, s.PrivateKey})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Session) UnmarshalJSON(b []byte) error {
	var stored storedSession
	if err := json.Unmarshal(b, &stored); err != nil {
		return fmt.Errorf("reading a session: %w", err)
	}
	key, err := megacrypto.DecodeBase64(stored.MasterKey)
	if err != nil || len(key) != len(s.MasterKey) {
		return fmt.Errorf("reading a session: its master key: %w", errKeySize)
	}
	*s = Session{stored.SID, megacrypto.Key(key), stored.User, stored.Email, stored.PrivateKey}
	return nil
}

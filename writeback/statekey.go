package writeback

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"

	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/durable"
)

const (
	stateKeyFile    = "state.key"
	stateKeyVersion = 1
	stateKeyInfo    = "megadisk state key wrap v1"
)

// wrappedStateKey is the content of state.key, in CBOR.
type wrappedStateKey struct {
	Version int    `cbor:"1,keyasint"`
	Nonce   []byte `cbor:"2,keyasint"` // 12 bytes
	Sealed  []byte `cbor:"3,keyasint"` // AES-256-GCM of the 32 bytes
}

// treeDir is the folder of the database in a state folder.
const treeDir = "tree"

// HasState tells whether dir holds the state of an account.
func HasState(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stateKeyFile))
	return err == nil || hasStores(dir)
}

// hasStores tells whether there is something in dir that a state key protects.
func hasStores(dir string) bool {
	for _, store := range []string{treeDir, stagingDir, orphanedGlob} {
		if found, _ := glob(dir, store+"/*"); len(found) > 0 {
			return true
		}
	}
	return false
}

// OpenStateKey returns the random key that protects everything in dir. It
// makes one if there is nothing in dir yet; it is kept in dir wrapped by the
// account's master key. Errors: ErrWrongMaster, ErrKeyMissing, ErrKeyDamaged,
// *NewerStateError.
func OpenStateKey(dir string, master megacrypto.Key) ([32]byte, error) {
	path := filepath.Join(dir, stateKeyFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if hasStores(dir) {
			return [32]byte{}, fmt.Errorf("%w: %s", ErrKeyMissing, path)
		}
		return makeStateKey(dir, path, master)
	}
	if err != nil {
		return [32]byte{}, fmt.Errorf("reading the state key: %w", err)
	}
	return unwrapStateKey(raw, master)
}

func makeStateKey(dir, path string, master megacrypto.Key) (key [32]byte, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return key, fmt.Errorf("making the state folder: %w", err)
	}
	if _, err := rand.Read(key[:]); err != nil {
		return key, fmt.Errorf("drawing the state key: %w", err)
	}
	raw, err := wrapStateKey(key, master)
	if err != nil {
		return key, err
	}
	if err := durable.CreateFile(path, raw); err != nil {
		return key, fmt.Errorf("writing the state key: %w", err)
	}
	return key, nil
}

func wrapStateKey(key [32]byte, master megacrypto.Key) ([]byte, error) {
	aead, err := stateKeyAEAD(master)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("drawing a nonce: %w", err)
	}
	return cbor.Marshal(wrappedStateKey{stateKeyVersion, nonce, aead.Seal(nil, nonce, key[:], nil)})
}

func unwrapStateKey(raw []byte, master megacrypto.Key) (key [32]byte, err error) {
	var w wrappedStateKey
	if err := cbor.Unmarshal(raw, &w); err != nil {
		return key, fmt.Errorf("%w: %w", ErrKeyDamaged, err)
	}
	if w.Version > stateKeyVersion {
		return key, &NewerStateError{w.Version}
	}
	aead, err := stateKeyAEAD(master)
	if err != nil {
		return key, err
	}
	if len(w.Nonce) != aead.NonceSize() {
		return key, ErrWrongMaster
	}
	plain, err := aead.Open(nil, w.Nonce, w.Sealed, nil)
	if err != nil || len(plain) != len(key) {
		return key, ErrWrongMaster
	}
	return [32]byte(plain), nil
}

func stateKeyAEAD(master megacrypto.Key) (cipher.AEAD, error) {
	kek, err := hkdf.Key(sha256.New, master[:], nil, stateKeyInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the wrapping key: %w", err)
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("wrapping key: %w", err)
	}
	return cipher.NewGCM(block)
}

// Labels of the keys that are derived from the state key, one for each store.
const (
	labelTree    = "megadisk tree v1"
	labelStaging = "megadisk staging v1"
	labelCache   = "megadisk cache v1"
)

// CacheKey is the key for package cache that belongs to a state key.
func CacheKey(stateKey [32]byte) [32]byte { return subkey(stateKey, labelCache) }

// subkey derives the key of one part of the state.
func (e *Engine) subkey(label string) [32]byte {
	var key [32]byte
	e.stateKey.CopyTo(key[:])
	return subkey(key, label)
}

func subkey(stateKey [32]byte, label string) [32]byte {
	k, err := hkdf.Key(sha256.New, stateKey[:], nil, label, 32)
	if err != nil {
		panic("writeback: HKDF of constant sizes failed: " + err.Error())
	}
	return [32]byte(k)
}

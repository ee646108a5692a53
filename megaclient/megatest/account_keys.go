package megatest

import (
	"sync"

	"megadisk/megaclient/megacrypto"
)

// Making RSA keys and stretching passwords costs far more than anything else here, so both are kept
// for the life of the process. Two accounts of one server never share an RSA key.
var keyCache struct {
	mu      sync.Mutex
	rsa     []*megacrypto.PrivateKey // GUARDED_BY(mu)
	derived map[derivation]derived   // GUARDED_BY(mu)
}

type derivation struct {
	password string
	salt     [32]byte
}

type derived struct {
	key   megacrypto.Key
	login string
}

// rsaKey returns the RSA key for the i-th account of a server.
func rsaKey(i int) *megacrypto.PrivateKey {
	keyCache.mu.Lock()
	defer keyCache.mu.Unlock()
	for len(keyCache.rsa) <= i {
		k, err := megacrypto.GeneratePrivateKey()
		if err != nil {
			panic("megatest: making an RSA key: " + err.Error())
		}
		keyCache.rsa = append(keyCache.rsa, k)
	}
	return keyCache.rsa[i]
}

// deriveV2 is megacrypto.DeriveV2, computed once for each password and salt.
func deriveV2(password string, salt [32]byte) (megacrypto.Key, string) {
	keyCache.mu.Lock()
	defer keyCache.mu.Unlock()
	d, known := keyCache.derived[derivation{password, salt}]
	if !known {
		d.key, d.login = megacrypto.DeriveV2(password, salt[:])
		if keyCache.derived == nil {
			keyCache.derived = map[derivation]derived{}
		}
		keyCache.derived[derivation{password, salt}] = d
	}
	return d.key, d.login
}

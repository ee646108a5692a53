package megacrypto

import "crypto/subtle"

// UploadChecksum gives the `d` that goes with a piece of an upload: its ciphertext folded by XOR into
// 12 bytes, counted from the piece's start, in base64 (PROTOCOL 5.2).
func UploadChecksum(ciphertext []byte) string {
	const size, wide = 12, 12 * 256 // folding wide first lets the machine XOR whole vectors
	var acc [wide]byte
	for len(ciphertext) > 0 {
		n := min(len(ciphertext), wide)
		subtle.XORBytes(acc[:n], acc[:n], ciphertext[:n])
		ciphertext = ciphertext[n:]
	}
	for i := size; i < wide; i += size {
		subtle.XORBytes(acc[:size], acc[:size], acc[i:i+size])
	}
	return EncodeBase64(acc[:size])
}

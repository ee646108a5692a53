package megatest

// code is a MEGA result code as it stands in an answer (PROTOCOL 1.6): zero is success, failures are negative.
type code int

// The codes that the server uses by itself. Faults may inject any other number.
const (
	ok              code = 0
	eInternal       code = -1
	eArgs           code = -2
	eAgain          code = -3
	eRateLimit      code = -4
	eFailed         code = -5
	eTooMany        code = -6
	eRange          code = -7
	eExpired        code = -8
	eNoEnt          code = -9
	eCircular       code = -10
	eAccess         code = -11
	eExist          code = -12
	eIncomplete     code = -13
	eKey            code = -14
	eSid            code = -15
	eBlocked        code = -16
	eOverQuota      code = -17
	eTempUnavail    code = -18
	eGoingOverQuota code = -24
	eMFARequired    code = -26
)

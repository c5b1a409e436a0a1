#include "textflag.h"
#include "settings.h"

#define SYS_WRITE	4
#define SYS_PRLIMIT	325
#define SYS_EXIT_GROUP	234

// entry is where the kernel starts this program: see entry.go.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVD	$0, R3			// of this process
	MOVD	$RLIMIT_AS, R4
	MOVD	$0, R5			// it is not changed
	ADD	$-16, R1, R6
	SYSCALL	$SYS_PRLIMIT
	XOR	R0, R0			// Go's assembler takes it for zero
	CMP	R3, $0
	BNE	data
	MOVD	-16(R1), R5
	MOVD	$SPACE, R6
	CMPU	R5, R6
	BLT	aside
data:
	MOVD	$0, R3
	MOVD	$RLIMIT_DATA, R4
	MOVD	$0, R5
	ADD	$-16, R1, R6
	SYSCALL	$SYS_PRLIMIT
	CMP	R3, $0
	BNE	roomy
	MOVD	-16(R1), R5
	MOVD	$DATASPACE, R6
	CMPU	R5, R6
	BGE	roomy
aside:
	MOVD	$2, R3
	MOVD	·aside(SB), R4
	MOVD	·aside+8(SB), R5
	SYSCALL	$SYS_WRITE
	MOVD	$0, R3
	SYSCALL	$SYS_EXIT_GROUP
roomy:
	MOVD	R1, R5
	MOVD	0(R5), R6
	ADD	$2, R6			// with argc itself, and the zero after the arguments
argument:
	MOVD	0(R5), R7
	MOVD	R7, -16(R5)
	ADD	$8, R5
	SUB	$1, R6
	CMP	R6, $0
	BNE	argument
variable:
	MOVD	0(R5), R7
	CMP	R7, $0
	BEQ	settings
	MOVBZ	0(R7), R8
	CMP	R8, $'G'
	BNE	keep
	MOVBZ	1(R7), R8
	CMP	R8, $'O'
	BNE	keep
	MOVBZ	2(R7), R8
	CMP	R8, $'A'
	BLT	keep
	CMP	R8, $'Z'
	BGT	keep
	MOVB	R0, 0(R7)
keep:
	MOVD	R7, -16(R5)
	ADD	$8, R5
	BR	variable
settings:
	MOVD	$·threads(SB), R7
	MOVD	R7, -16(R5)
	MOVD	$·traceback(SB), R7
	MOVD	R7, -8(R5)
	ADD	$-16, R1
	BR	_rt0_ppc64le_linux(SB)

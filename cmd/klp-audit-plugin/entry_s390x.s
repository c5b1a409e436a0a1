#include "textflag.h"
#include "settings.h"

#define SYS_WRITE	4
#define SYS_PRLIMIT	334
#define SYS_EXIT_GROUP	248

// entry is where the kernel starts this program: see entry.go.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVW	$SYS_PRLIMIT, R1
	MOVW	$0, R2			// of this process
	MOVW	$RLIMIT_AS, R3
	MOVW	$0, R4			// it is not changed
	MOVD	$-16(R15), R5
	SYSCALL
	CMPBNE	R2, $0, data
	MOVD	-16(R15), R4
	MOVD	$SPACE, R5
	CMPUBLT	R4, R5, aside
data:
	MOVW	$SYS_PRLIMIT, R1
	MOVW	$0, R2
	MOVW	$RLIMIT_DATA, R3
	MOVW	$0, R4
	MOVD	$-16(R15), R5
	SYSCALL
	CMPBNE	R2, $0, roomy
	MOVD	-16(R15), R4
	MOVD	$DATASPACE, R5
	CMPUBGE	R4, R5, roomy
aside:
	MOVW	$SYS_WRITE, R1
	MOVW	$2, R2
	MOVD	·aside(SB), R3
	MOVD	·aside+8(SB), R4
	SYSCALL
	MOVW	$SYS_EXIT_GROUP, R1
	MOVW	$0, R2
	SYSCALL
roomy:
	MOVD	R15, R2
	MOVD	0(R2), R3
	ADD	$2, R3			// with argc itself, and the zero after the arguments
argument:
	MOVD	0(R2), R4
	MOVD	R4, -16(R2)
	ADD	$8, R2
	SUB	$1, R3
	CMPBNE	R3, $0, argument
variable:
	MOVD	0(R2), R4
	CMPBEQ	R4, $0, settings
	MOVBZ	0(R4), R5
	CMPBNE	R5, $'G', keep
	MOVBZ	1(R4), R5
	CMPBNE	R5, $'O', keep
	MOVBZ	2(R4), R5
	CMPBLT	R5, $'A', keep
	CMPBGT	R5, $'Z', keep
	MOVB	$0, 0(R4)
keep:
	MOVD	R4, -16(R2)
	ADD	$8, R2
	BR	variable
settings:
	MOVD	$·threads(SB), R4
	MOVD	R4, -16(R2)
	MOVD	$·traceback(SB), R4
	MOVD	R4, -8(R2)
	SUB	$16, R15
	BR	_rt0_s390x_linux(SB)

[flocon]
title=flocon
description=Machines of a LAN serve their pacman packages to each other
ports=19432/tcp|19432/udp

[flocon-mirror]
title=flocon, the mirror for machines without a node
description=Machines without a node fetch pacman's databases and packages
ports=19434/tcp

[flocon-standins]
title=flocon in the place of pacserve and pacredir
description=Machines with pacserve or pacredir fetch pacman packages
ports=15678/tcp|15679/udp|7078/tcp

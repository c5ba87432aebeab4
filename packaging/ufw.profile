[flocon]
title=flocon
description=Machines of a LAN serve their pacman packages to each other
ports=19432/tcp|19432/udp

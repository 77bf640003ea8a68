// The suite that `npm test` runs on the SQL emulator, unchanged: here the site is a gateway in front of the real server.
import '../orm/drizzle.sockets.test.js';
import '../orm/knex.sockets.test.js';
import '../orm/kysely.sockets.test.js';
import '../orm/mikro-orm.sockets.test.js';
import '../orm/prisma.sockets.test.js';
import '../orm/sequelize.sockets.test.js';
import '../orm/typeorm.sockets.test.js';

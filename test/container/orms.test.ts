// The suite that `npm test` runs on the SQL emulator, unchanged: here the site is a gateway in front of the real server.
import '../orm/drizzle.test.js';
import '../orm/knex.test.js';
import '../orm/kysely.test.js';
import '../orm/mikro-orm.test.js';
import '../orm/prisma.test.js';
import '../orm/sequelize.test.js';
import '../orm/typeorm.test.js';

import { PrismaMssql } from '@prisma/adapter-mssql';
import { adapterConfig } from 'mssql-token-pool/prisma';
import { crossingExpiries } from './crossing-expiries.mjs';
import { PrismaClient } from './prisma-client.mjs';

await crossingExpiries(async (config) => {
  const prisma = new PrismaClient({ adapter: new PrismaMssql(adapterConfig(config)) });
  return { orders: () => prisma.order.findMany(), close: () => prisma.$disconnect() };
});

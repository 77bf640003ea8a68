// NestJS in two ways: @nestjs/typeorm on the drop-in, and a plain provider with an mssql pool. Both close with the application.
import 'reflect-metadata';
import { Controller, Get, Inject, Module, type OnModuleDestroy } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectDataSource, TypeOrmModule } from '@nestjs/typeorm';
import sql from 'mssql-token-pool/mssql';
import { dataSourceOptions } from 'mssql-token-pool/typeorm';
import type { DataSource } from 'typeorm';

const config = {
  server: process.env.SQL_SERVER ?? '',
  database: process.env.SQL_DATABASE ?? '',
  authentication: { type: 'azure-active-directory-default' as const, options: {} },
};

const POOL = Symbol('SQL pool');
const poolProvider = { provide: POOL, useFactory: () => new sql.ConnectionPool(config).connect() };

@Controller()
class OrdersController implements OnModuleDestroy {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    @Inject(POOL) private readonly pool: sql.ConnectionPool,
  ) {}

  @Get('orders')
  orders(): Promise<unknown> {
    return this.dataSource.query('SELECT id, item FROM orders');
  }

  @Get('orders-by-hand')
  async ordersByHand(): Promise<unknown> {
    return (await this.pool.query('SELECT id, item FROM orders')).recordset;
  }

  async onModuleDestroy(): Promise<void> {
    await this.pool.close();
  }
}

@Module({
  imports: [TypeOrmModule.forRoot({ ...dataSourceOptions(config), entities: [] })],
  controllers: [OrdersController],
  providers: [poolProvider],
})
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
  app.enableShutdownHooks();
  await app.listen(process.env.PORT ?? 3000);
}
main();

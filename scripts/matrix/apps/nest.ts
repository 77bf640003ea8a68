import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import { dataSourceOptions } from 'mssql-token-pool/typeorm';
import type { DataSource } from 'typeorm';
import { config, cross } from './cross.cjs';

@Module({ imports: [TypeOrmModule.forRoot({ ...dataSourceOptions({ ...config, database: 'shop' }), entities: [] })] })
class AppModule {}

async function main() {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
  const dataSource = app.get<DataSource>(getDataSourceToken());
  await cross({ query: () => dataSource.query('SELECT id, item FROM orders'), close: () => app.close() });
}
main();

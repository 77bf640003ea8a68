import * as otel from 'mssql-token-pool/otel';
export const names = Object.keys(otel);

export { type Certificate, type CertificateOptions, makeCertificate, makeCertificateAuthority } from './certificate.js';

module.exports = async function stopEmulators() {
  const { entra, server } = globalThis.emulators;
  await server.close();
  await entra.close();
};

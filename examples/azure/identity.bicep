// az deployment group create --resource-group shop --template-file identity.bicep --parameters repository=contoso/shop
@description('owner/name of the repository whose workflows may log in')
param repository string
param branch string = 'main'
param location string = resourceGroup().location

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'shop-sql'
  location: location
}

// Issuer, subject and audience are compared exactly; the error of a mismatch names the values of the token.
resource github 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = {
  parent: identity
  name: 'github'
  properties: {
    issuer: 'https://token.actions.githubusercontent.com'
    subject: 'repo:${repository}:ref:refs/heads/${branch}'
    audiences: ['api://AzureADTokenExchange']
  }
}

output clientId string = identity.properties.clientId
output principalId string = identity.properties.principalId
output name string = identity.name

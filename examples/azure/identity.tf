terraform {
  required_providers {
    azuread = { source = "hashicorp/azuread", version = "~> 3.0" }
    azurerm = { source = "hashicorp/azurerm", version = "~> 4.0" }
  }
}

variable "repository" { type = string } # owner/name
variable "resource_group" { type = string }
variable "location" { type = string }

data "azuread_client_config" "current" {}

resource "azuread_application" "shop" {
  display_name = "shop-sql"
}

resource "azuread_service_principal" "shop" {
  client_id = azuread_application.shop.client_id
}

# { method: 'federated', from: 'github-actions' }
resource "azuread_application_federated_identity_credential" "github" {
  application_id = azuread_application.shop.id
  display_name   = "github"
  issuer         = "https://token.actions.githubusercontent.com"
  subject        = "repo:${var.repository}:ref:refs/heads/main"
  audiences      = ["api://AzureADTokenExchange"]
}

resource "azurerm_user_assigned_identity" "shop" {
  name                = "shop"
  resource_group_name = var.resource_group
  location            = var.location
}

# { method: 'federated', from: { managedIdentity: { clientId } } }: no secret, also for an application of another tenant
resource "azuread_application_federated_identity_credential" "managed_identity" {
  application_id = azuread_application.shop.id
  display_name   = "managed-identity"
  issuer         = "https://login.microsoftonline.com/${data.azuread_client_config.current.tenant_id}/v2.0"
  subject        = azurerm_user_assigned_identity.shop.principal_id
  audiences      = ["api://AzureADTokenExchange"]
}

output "client_id" { value = azuread_application.shop.client_id }

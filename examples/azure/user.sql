-- Run in the database, as the Microsoft Entra admin of the server.

-- With the Directory Readers role assigned to the server's identity, the server finds the principal by its name:
CREATE USER [shop-sql] FROM EXTERNAL PROVIDER;

-- Without Directory Readers: the SID is the client id (application id) of the identity or application as binary.
-- DECLARE @sid NVARCHAR(100) = CONVERT(NVARCHAR(100), CONVERT(VARBINARY(16), CAST('<client id>' AS UNIQUEIDENTIFIER)), 1);
-- EXEC (N'CREATE USER [shop-sql] WITH SID = ' + @sid + N', TYPE = E');

ALTER ROLE db_datareader ADD MEMBER [shop-sql];
ALTER ROLE db_datawriter ADD MEMBER [shop-sql];

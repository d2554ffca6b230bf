using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;

namespace FineTuneService.Storage;

/// <summary>For <c>dotnet ef migrations add NAME --project src/FineTuneService.Storage</c>; needs no database.</summary>
internal sealed class DesignTimeFactory : IDesignTimeDbContextFactory<FineTuneDb>
{
    public FineTuneDb CreateDbContext(string[] args) =>
        new(new DbContextOptionsBuilder<FineTuneDb>().UseNpgsql("Host=127.0.0.1").UseSnakeCaseNamingConvention().Options);
}

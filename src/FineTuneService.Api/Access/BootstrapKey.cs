using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Access;

/// <summary>Sees to it that somebody can get in: the key that the settings give, or one that is made where there is none yet.</summary>
internal static class BootstrapKey
{
    private const int Lock = 0x46_54_4b; // Of this service's advisory locks, the one under which the first key is made.

    public static string FileIn(StorageSettings storage) => Path.Combine(storage.DataDirectory, "bootstrap-key");

    public static async Task Ensure(IServiceProvider services)
    {
        var (settings, storage, keys) = (services.GetRequiredService<IOptions<AccessSettings>>().Value, services.GetRequiredService<StorageSettings>(), services.GetRequiredService<ApiKeys>());
        await using var db = await services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync();
        await using var transaction = await db.Database.BeginTransactionAsync();
        await db.Database.ExecuteSqlAsync($"SELECT pg_advisory_xact_lock({Lock})"); // APIs that start together make one key.
        if (settings.BootstrapKey is { } given)
        {
            var hash = ApiKeys.HashOf(given);
            if (!await db.ApiKeys.AnyAsync(key => key.Hash == hash))
                db.ApiKeys.Add(keys.Row(given, Project.Default, "bootstrap", [Scope.Admin], null));
        }
        else if (!await db.ApiKeys.AnyAsync())
        {
            var (key, row) = keys.Create(Project.Default, "bootstrap", [Scope.Admin], null);
            db.ApiKeys.Add(row);
            await Write(FileIn(storage), key); // Before the row: a key without a row opens nothing, a row whose key nobody has locks everybody out.
            services.GetRequiredService<ILogger<ApiKeys>>().LogInformation("The first key, with the scope admin, is in {File}", FileIn(storage));
        }
        await db.SaveChangesAsync();
        await transaction.CommitAsync();
    }

    private static async Task Write(string path, string key)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.Delete(path);
        await using var file = new StreamWriter(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        await file.WriteAsync(key);
    }
}

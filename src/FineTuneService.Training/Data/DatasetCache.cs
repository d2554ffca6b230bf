using System.Globalization;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>
/// Tokenized datasets by what they were made of, a folder each: <c>KEY/</c>. A folder gets its name when it is whole, so any number of processes may make and read them at once;
/// what is used longest ago goes when they become too many. A folder that is deleted stays readable to whoever has it open.
/// </summary>
/// <param name="root">Made when it is needed.</param>
/// <param name="maxBytes">That the folders may have together; the one just made stays in any case.</param>
public sealed class DatasetCache(string root, long maxBytes, TimeProvider clock)
{
    /// <summary>Held open by whoever writes a draft.</summary>
    internal const string Held = "held";

    private const string Draft = ".draft";
    private const long UsualBytes = 20L << 30;

    /// <summary>Between a folder's making and its being held lies no more than this.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromHours(1);

    /// <summary>As the environment says (<see cref="TrainerVariables"/>); null: without a cache.</summary>
    /// <exception cref="FaultException">When a variable has no sense.</exception>
    public static DatasetCache? FromEnvironment(TimeProvider clock)
    {
        var bytes = Variable(TrainerVariables.DatasetCacheBytes);
        if (!long.TryParse(bytes ?? UsualBytes.ToString(CultureInfo.InvariantCulture), NumberStyles.None, CultureInfo.InvariantCulture, out var limit))
            throw new FaultException(TrainerVariables.DatasetCacheBytes, bytes, "This is no number of bytes.", "Give a whole number, such as 20000000000, or leave it out.");
        var folder = Variable(TrainerVariables.DatasetCache);
        if (folder == "off")
            return null;
        if (folder is not null)
            return new(Path.GetFullPath(folder), limit, clock);
        var home = Variable("XDG_CACHE_HOME") ?? (Variable("HOME") is { } user ? Path.Combine(user, ".cache") : null);
        return home is not null && Writable(Path.Combine(home, "finetune", "datasets")) is { } usual ? new(usual, limit, clock) : null;
    }

    /// <summary>What lies there whole under this key; otherwise it is made, and kept if it can be.</summary>
    /// <exception cref="FaultException">When the folder cannot be written to; or what <paramref name="build"/> throws.</exception>
    public TokenizedDataset Get(string key, Action<DatasetDraft> build)
    {
        var folder = Path.Combine(root, key);
        if (TokenizedDataset.Open(folder) is { } found)
        {
            MarkUsed(folder);
            return found;
        }
        Remove(folder); // Damaged, if it is there at all.
        var draft = NewDraft(key);
        try
        {
            TokenizedDataset made;
            using (new FileStream(Path.Combine(draft, Held), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None))
            {
                made = TokenizedDataset.Build(draft, build);
                TokenizedDataset.Seal(draft);
            }
            Publish(draft, folder);
            MarkUsed(folder);
            Evict(except: folder);
            return made;
        }
        finally
        {
            if (Directory.Exists(draft))
                Directory.Delete(draft, recursive: true);
        }
    }

    private string NewDraft(string key)
    {
        try
        {
            return Directory.CreateDirectory(Path.Combine(root, $"{key}.{Guid.NewGuid():N}{Draft}")).FullName;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException && !FullDisk.Is(error))
        {
            throw new FaultException(TrainerVariables.DatasetCache, root, $"Nothing can be written there: {error.Message}", "Name another folder, or off.");
        }
    }

    private static void Publish(string draft, string folder)
    {
        File.Delete(Path.Combine(draft, Held));
        try
        {
            Directory.Move(draft, folder);
        }
        catch (IOException) when (Directory.Exists(folder))
        {
            // Another process was faster; both made the same.
        }
    }

    private void MarkUsed(string folder)
    {
        try
        {
            Directory.SetLastWriteTimeUtc(folder, clock.GetUtcNow().UtcDateTime);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Read-only, or it has just been evicted.
        }
    }

    private void Evict(string except)
    {
        var others = new DirectoryInfo(root).EnumerateDirectories().Where(folder => folder.FullName != except && !IsBeingMade(folder)).OrderByDescending(folder => folder.LastWriteTimeUtc);
        var room = maxBytes - BytesOf(new(except));
        foreach (var folder in others.ToList())
        {
            room -= BytesOf(folder);
            if (room < 0 || folder.Name.EndsWith(Draft, StringComparison.Ordinal))
                Remove(folder.FullName);
        }
    }

    /// <summary>A draft that nobody holds was left by a process that died.</summary>
    private bool IsBeingMade(DirectoryInfo folder)
    {
        if (!folder.Name.EndsWith(Draft, StringComparison.Ordinal))
            return false;
        if (clock.GetUtcNow().UtcDateTime - folder.LastWriteTimeUtc < Patience)
            return true;
        try
        {
            using var _ = new FileStream(Path.Combine(folder.FullName, Held), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (FileNotFoundException)
        {
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>Out of the way first, so that nobody finds half of it.</summary>
    private static void Remove(string folder)
    {
        if (!Directory.Exists(folder))
            return;
        var gone = folder.EndsWith(Draft, StringComparison.Ordinal) ? folder : $"{folder}.{Guid.NewGuid():N}{Draft}";
        try
        {
            if (gone != folder)
                Directory.Move(folder, gone);
            Directory.Delete(gone, recursive: true);
        }
        catch (IOException) when (!Directory.Exists(folder))
        {
            // Somebody else was faster.
        }
    }

    private static long BytesOf(DirectoryInfo folder)
    {
        try
        {
            return folder.EnumerateFiles().Sum(file => file.Length);
        }
        catch (IOException)
        {
            return 0; // Just removed.
        }
    }

    /// <returns>The folder, or null where it cannot be made or written to.</returns>
    private static string? Writable(string folder)
    {
        try
        {
            var probe = Path.Combine(Directory.CreateDirectory(folder).FullName, $"{Guid.NewGuid():N}{Draft}");
            Directory.CreateDirectory(probe);
            Directory.Delete(probe);
            return folder;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { } value && !string.IsNullOrWhiteSpace(value) ? value.Trim() : null;
}

namespace FineTuneService.Contracts;

/// <summary>The failure of a write that passes by itself, once somebody has made room.</summary>
public static class FullDisk
{
    private const int FileTooLarge = 27, NoSpace = 28, QuotaExceeded = 122; // errno.h; .NET puts it into HResult

    /// <summary>True for a write that failed because there is no room: on the disk, in a quota, or under the limit for a file.</summary>
    public static bool Is(Exception error) =>
        error.GetBaseException() is IOException { HResult: FileTooLarge or NoSpace or QuotaExceeded } or ArgumentOutOfRangeException { ParamName: "value" }; // the last is .NET's word for FileTooLarge

    /// <summary>What a process of ours has told by <see cref="TrainerExit.DiskFull"/>.</summary>
    public static IOException Error(string message) => new(message, NoSpace);
}

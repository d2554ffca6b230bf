using System.Text;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>A trainer that does nothing: the test writes its run's log.</summary>
internal static class SilentTrainer
{
    /// <returns>Where it lies. It ends once the run's folder has a file <c>done</c>, or has gone.</returns>
    public static string Make()
    {
        var path = Path.Combine(AppContext.BaseDirectory, "silent-trainer.sh");
        File.WriteAllText(path, """
            #!/bin/sh
            while [ -d "$2" ] && [ ! -e "$2/done" ]; do sleep 0.2; done
            exit 2

            """, new UTF8Encoding(false));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        return path;
    }
}

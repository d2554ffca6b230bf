using System.Reflection;

namespace FineTuneService.Training.Tests.Native;

/// <summary>libLibTorchSharp.so as it lies in the package cache; only ever read.</summary>
internal static class PublishedLibrary
{
    public const string FileName = "libLibTorchSharp.so";

    public static string Path { get; } = System.IO.Path.Combine(
        typeof(PublishedLibrary).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(data => data.Key == "TorchSharpPackage").Value!,
        "runtimes", "linux-x64", "native", FileName);

    public static byte[] Bytes { get; } = File.ReadAllBytes(Path);
}

using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using TorchSharp;

namespace FineTuneService.Architecture.Tests;

/// <summary>Names that say nothing, and seams that nobody needs.</summary>
public sealed partial class TypeTests
{
    /// <summary>Interfaces that may have a single implementer, each with its reason.</summary>
    private static readonly Dictionary<string, string> LonelyOnPurpose = new()
    {
        ["FineTuneService.Training.Models.Layers.ICheckpointable"] = "What the lists of all kinds of blocks have in common: BlockList is generic.",
    };

    private static readonly Type[] Ours =
        [.. Repository.Assemblies.SelectMany(assembly => assembly.GetTypes()).Where(type => !type.IsDefined(typeof(CompilerGeneratedAttribute), false) && !type.Name.StartsWith('<'))];

    [Fact]
    public void Type_names_say_what_a_thing_is() => Assert.Empty(EmptyNames(Ours));

    [Fact]
    public void An_interface_has_more_than_one_implementer() => Assert.Empty(LonelyInterfaces(Ours).Except(LonelyOnPurpose.Keys));

    /// <summary>TorchSharp's RegisterComponents makes a buffer of every Tensor field: a key in the checkpoint that the hub does not know.</summary>
    [Fact]
    public void A_module_keeps_no_tensor_but_its_parameters() => Assert.Empty(StrayBuffers(Ours));

    [Fact]
    public void No_exception_outlives_its_reason() => Assert.Empty(LonelyOnPurpose.Keys.Except(LonelyInterfaces(Ours)));

    [Fact]
    public void An_empty_name_is_seen() => Assert.Equal([typeof(JobManager).FullName], EmptyNames([typeof(JobManager), typeof(ILonely)]));

    [Fact]
    public void A_lonely_interface_is_seen() => Assert.Equal([typeof(ILonely).FullName], LonelyInterfaces([typeof(ILonely), typeof(IShared), typeof(JobManager), typeof(Other)]));

    [Fact]
    public void A_stray_buffer_is_seen() => Assert.Equal([$"{typeof(Leaky).FullName}._cache"], StrayBuffers([typeof(Leaky), typeof(Other)]));

    private static IEnumerable<string?> EmptyNames(IEnumerable<Type> types) =>
        from type in types where EmptyName().IsMatch(type.Name.Split('`')[0]) select type.FullName;

    private static IEnumerable<string?> LonelyInterfaces(IReadOnlyCollection<Type> types) =>
        from seam in types
        where seam.IsInterface && types.Count(type => !type.IsInterface && Implements(type, seam)) < 2
        select seam.FullName;

    private static IEnumerable<string> StrayBuffers(IEnumerable<Type> types) =>
        from type in types
        where type.IsSubclassOf(typeof(torch.nn.Module))
        from field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
        where field.FieldType == typeof(torch.Tensor)
        select $"{type.FullName}.{field.Name}";

    private static bool Implements(Type type, Type seam) =>
        type.GetInterfaces().Any(candidate => candidate == seam || (candidate.IsGenericType && candidate.GetGenericTypeDefinition() == seam));

    [GeneratedRegex("(Manager|Helpers?|Utils?|Utility|Utilities|Impl|Wrapper)$")]
    private static partial Regex EmptyName();

    private interface ILonely;
    private interface IShared;
    private sealed class JobManager : ILonely, IShared;
    private sealed class Other : IShared;

    private sealed class Leaky() : torch.nn.Module(nameof(Leaky))
    {
#pragma warning disable CS0169, CA1823 // Only its presence matters.
        private readonly torch.Tensor? _cache;
#pragma warning restore CS0169, CA1823
    }
}

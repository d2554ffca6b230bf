using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;

namespace FineTuneService.Training.Native
{
    /// <summary>
    /// The symbol versions that an ELF library asks of others (section <c>.gnu.version_r</c>; LSB Core, "Symbol Versioning").
    /// libLibTorchSharp.so names GLIBCXX_3.4.31 and 3.4.32 although no relocation uses them (GCC 13's iostream does), and so does not load
    /// on Debian 12, Ubuntu 22.04 or RHEL 9. With the flag VER_FLG_WEAK on these two, ld.so accepts an older libstdc++.
    /// This file is compiled twice: into the engine, which explains a failed load, and by MSBuild, which mends the copy in the output folder.
    /// </summary>
    public static class SymbolVersions
    {
        private const uint VersionNeedSection = 0x6ffffffe; // SHT_GNU_verneed
        private const ushort WeakFlag = 0x2;                // VER_FLG_WEAK

        /// <summary>The versions that GCC 13 names needlessly.</summary>
        public static readonly string[] Needless = { "GLIBCXX_3.4.31", "GLIBCXX_3.4.32" };

        private static readonly string[] LibraryFolders = { "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib" };

        /// <summary>Names of the versions that ld.so insists on.</summary>
        public static IReadOnlyList<string> Required(byte[] elf)
        {
            var names = new List<string>();
            Visit(elf, (name, flagsAt) =>
            {
                if ((BitConverter.ToUInt16(elf, flagsAt) & WeakFlag) == 0)
                    names.Add(name);
            });
            return names;
        }

        /// <summary>Marks the versions as weak, in place; returns how many were not before.</summary>
        public static int Weaken(byte[] elf, ICollection<string> versions)
        {
            var changed = 0;
            Visit(elf, (name, flagsAt) =>
            {
                if (!versions.Contains(name) || (elf[flagsAt] & WeakFlag) != 0)
                    return;
                elf[flagsAt] |= (byte)WeakFlag;
                changed++;
            });
            return changed;
        }

        /// <summary>Which of the needless versions this library insists on and this system's libstdc++ lacks; empty where it would load.</summary>
        public static string[] Missing(byte[] elf)
        {
            var libstdcxx = LibraryFolders.Select(folder => Path.Combine(folder, "libstdc++.so.6")).FirstOrDefault(File.Exists);
            if (libstdcxx == null)
                return Array.Empty<string>();
            var provided = Encoding.ASCII.GetString(File.ReadAllBytes(libstdcxx));
            return Required(elf).Where(name => Needless.Contains(name) && provided.IndexOf(name + "\0", StringComparison.Ordinal) < 0).ToArray();
        }

        private static void Visit(byte[] elf, Action<string, int> visit)
        {
            if (elf.Length < 64 || elf[0] != 0x7f || elf[1] != 'E' || elf[2] != 'L' || elf[3] != 'F' || elf[4] != 2)
                throw new InvalidDataException("Not a 64-bit ELF file.");
            var sections = (int)BitConverter.ToUInt64(elf, 0x28);
            int size = BitConverter.ToUInt16(elf, 0x3a), count = BitConverter.ToUInt16(elf, 0x3c);
            for (var section = sections; section < sections + count * size; section += size)
            {
                if (BitConverter.ToUInt32(elf, section + 4) != VersionNeedSection)
                    continue;
                var strings = (int)BitConverter.ToUInt64(elf, sections + (int)BitConverter.ToUInt32(elf, section + 40) * size + 24);
                var need = (int)BitConverter.ToUInt64(elf, section + 24);
                for (int next = -1; next != 0; need += next)
                {
                    var auxiliary = need + (int)BitConverter.ToUInt32(elf, need + 8);
                    for (var left = BitConverter.ToUInt16(elf, need + 2); left > 0; left--)
                    {
                        var name = strings + (int)BitConverter.ToUInt32(elf, auxiliary + 8);
                        visit(Encoding.ASCII.GetString(elf, name, Array.IndexOf(elf, (byte)0, name) - name), auxiliary + 4);
                        auxiliary += (int)BitConverter.ToUInt32(elf, auxiliary + 12);
                    }
                    next = (int)BitConverter.ToUInt32(elf, need + 12);
                }
            }
        }
    }

#if !NET // MSBuild's inline task, see build/Torch.props

    public sealed class WeakenSymbolVersions : Microsoft.Build.Utilities.Task
    {
        [Microsoft.Build.Framework.Required]
        public Microsoft.Build.Framework.ITaskItem[] Files { get; set; }

        public override bool Execute()
        {
            foreach (var file in Files.Select(item => item.GetMetadata("FullPath")))
            {
                var elf = File.ReadAllBytes(file);
                var missing = Missing(elf);
                if (missing.Length == 0)
                    continue;
                SymbolVersions.Weaken(elf, missing);
                // A new file: the old one may be a link into the package cache, or mapped by a running process.
                File.WriteAllBytes(file + ".new", elf);
                File.Delete(file);
                File.Move(file + ".new", file);
                Log.LogMessage(Microsoft.Build.Framework.MessageImportance.High, Path.GetFileName(file) + ": " + string.Join(", ", missing) + " made weak for this system's libstdc++.");
            }
            return true;
        }

        private static string[] Missing(byte[] elf) => SymbolVersions.Missing(elf);
    }

#endif
}
